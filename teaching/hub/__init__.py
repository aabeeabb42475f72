"""JupyterHub for a class: on one machine, and on a cluster; and what it needs,
measured."""
