"""A small Hugging Face Hub on 127.0.0.1, for tests of pushing and loading: see server.py."""
