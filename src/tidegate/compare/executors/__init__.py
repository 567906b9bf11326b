"""Where trials run: each module gives plain texts to an existing engine and takes records back."""
