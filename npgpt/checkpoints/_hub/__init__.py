"""The Hugging Face hub: its cache, found by its layout alone, and fetching into it.

To read the code: fetch, cache; library is the one file that imports huggingface_hub.
"""
