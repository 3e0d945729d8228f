"""GGUF, llama.cpp's format: tensors, config and tokenizer in one file.

To read the code: reader, then metadata, and what of it is a GPT-2's, config and tokens.
"""
