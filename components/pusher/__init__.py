"""The Pusher: a push is whole or not at all, and is served."""
