"""Tests; the folder is a package so that they can share helpers."""
