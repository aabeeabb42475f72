"""How nbgrader works on the course that `make editions` writes into build/nbgrader."""

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "transfer_learning"
# A released cell keeps the lesson's own stub, which runs untouched; nothing is put in
# its place.
c.ClearSolutions.code_stub = {"python": ""}
# Seconds for a cell; the longest of the lessons takes a minute on two busy cores.
c.ExecutePreprocessor.timeout = 600
# For release and collect on a server of many: a folder that all can write.
# c.Exchange.root = "/srv/nbgrader/exchange"
