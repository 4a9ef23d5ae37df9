"""The papers' tables and figures: measuring writes JSON records, drawing reads them.

An item lists the jobs that it needs; jobs with the same key are measured once for all items.
"""
