"""TensorFlow's checkpoints, as OpenAI released GPT-2, read without TensorFlow.

To read the code: bundle, then its index: table, entry, protobuf; sidecars for the files beside it.
"""
