"""The nearest-neighbour detector: encoder, FAISS index, and the concepts under each policy."""
