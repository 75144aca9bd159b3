"""From a Keras model to a graph, and from the graph to a file."""
