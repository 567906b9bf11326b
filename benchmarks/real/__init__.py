"""Public models with trained weights on our layers, one file for each package. ``real_models.py`` runs them."""
