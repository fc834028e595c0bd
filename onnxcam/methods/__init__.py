"""Explanation methods: one formula of arrays per paper, and wrappers around them, found by name in a registry."""
