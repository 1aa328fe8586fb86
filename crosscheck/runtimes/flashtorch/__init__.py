"""FlashTorch: saliency maps of torch modules."""
