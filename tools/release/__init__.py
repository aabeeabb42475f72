"""Tools for a release: buttons, copies of the lessons for Colab and Kaggle, and what
runs there."""
