"""ChampionResolver: the model in production, else the pre-trained one that the user brings."""
