"""Audit twins: the readings and interventions of an audit, in PyTorch and each by another method.

Attribution is a gradient, the logit lens a model without its blocks, an intervention a mask through
the oracle's own tap. Nothing is shared with what they are compared with, in tests of npgpt.audit.
"""
