"""torch.save's files, read without torch: zip archives, and those of before torch 1.6.

To read the code: zip and legacy find the numbers, state what a pickle says of them, inert_pickle
the pickle itself, of which nothing is run.
"""
