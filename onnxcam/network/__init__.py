"""A model file ready to be explained: read, canonical, fed, and run in sessions."""
