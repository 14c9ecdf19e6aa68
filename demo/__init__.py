"""The offline demo: its data, and how its pre-trained model was made."""
