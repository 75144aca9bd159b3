"""The rooms behind :mod:`hornbeam.converter.load`, from the bytes of a file to a Keras model.

``files`` says what a path holds; ``archive`` and ``legacy`` read the two containers;
``repairs`` (with ``graph``, ``tf_ops`` and ``keras1``) brings old configs up to date;
``trust`` refuses what would run code; ``keras_internals`` alone touches Keras's private
loading functions; ``backend`` chooses the backend.
"""
