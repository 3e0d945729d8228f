"""An import-linter contract: a package imports itself, the standard library, and what is listed."""

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):
    """`source` may import nothing but itself, the standard library and `permitted`.

    `exceptions` are single imports, such as "mine.file -> other"; one that nothing needs is wrong.
    """

    type_name = "only"
    source = fields.StringField()
    permitted = fields.SetField(subfield=fields.StringField())
    exceptions = fields.SetField(subfield=fields.StringField(), required=False, default=set())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Collect every import of a package that is not permitted."""
        permitted = {self.source, *self.permitted, *sys.stdlib_module_names}
        modules = {self.source, *graph.find_descendants(self.source)}
        found = {
            f"{module} -> {imported}"
            for module in modules
            for imported in graph.find_modules_directly_imported_by(module)
            if imported.split(".")[0] not in permitted
        }
        exceptions = set(self.exceptions or ())
        wrong = [f"{line}: not permitted" for line in sorted(found - exceptions)]
        wrong += [f"{line}: there is no such import" for line in sorted(exceptions - found)]
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print them."""
        for line in check.metadata["wrong"]:
            output.print_error(line)
