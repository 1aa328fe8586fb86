"""tangermeme: attributions of torch modules that read sequences."""
