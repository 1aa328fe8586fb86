"""saliency: masks of what a network looks at, through a function that the user writes."""
