"""Text readers: from sentences to the tensors that a model takes.

A reader belongs to a model and is saved in its checkpoint, so that training, inference, export
and evaluation read a sentence alike.
"""
