"""A workload of somebody else's whose module is a script as well."""

import sys

sys.exit("usage: counting_leaving TABLE")
