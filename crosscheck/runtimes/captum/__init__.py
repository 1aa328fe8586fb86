"""Captum: attributions for torch modules."""
