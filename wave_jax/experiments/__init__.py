"""The papers' tables and figures, one module an item.

Measuring (`measure.measure`) writes JSON records; drawing (`report.write_report`) reads them. An
item says what it needs as a list of jobs; jobs with one key are measured once, whoever asks.
"""
