"""That the guard can fail. `scripts/guard` runs these each time: python3 -m unittest guard.test_accepted, in Benchmarks."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent.parent
BY = "Swift 6.3 on x86_64"


class AcceptedTests(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.accepted, self.measured = pathlib.Path(place.name, "accepted"), pathlib.Path(place.name, "measured")
        self.write_accepted({"brain": {BY: 1000}})

    def write_accepted(self, figures):
        known = {name: {"unit": "instructions", "accepted": values} for name, values in figures.items()}
        self.accepted.write_text(json.dumps({"figures": known, "notes": []}))

    def guard(self, figures, *options, by=BY):
        """Runs the command with these figures as if they had been measured."""
        self.measured.write_text(json.dumps({name: {"value": value, "unit": "instructions", "by": by} for name, value in figures.items()}))
        command = [sys.executable, "-B", "-m", "guard", "--measured", self.measured, "--accepted", self.accepted, *options]
        return subprocess.run(command, cwd=HERE, capture_output=True, text=True)

    def test_a_figure_that_is_10_1_percent_worse_fails(self):
        done = self.guard({"brain": 1101})
        self.assertEqual(done.returncode, 1)
        self.assertIn("| 1,101 | 1,000 | 1.101 | **worse** |", done.stdout)
        self.assertIn("Not as accepted: brain.", done.stderr)

    def test_a_figure_that_is_9_9_percent_worse_passes(self):
        done = self.guard({"brain": 1099})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("as accepted", done.stdout)

    def test_every_figure_that_is_accepted_can_fail(self):
        figures = json.loads((HERE / "guard.json").read_text())["figures"]
        for name, known in figures.items():
            for by, value in known["accepted"].items():
                with self.subTest(name, by=by):
                    self.write_accepted({name: {by: value}})
                    self.assertEqual(self.guard({name: value * 1.101}, by=by).returncode, 1)

    def test_a_figure_that_is_much_better_passes_and_is_to_be_accepted(self):
        done = self.guard({"brain": 899})
        self.assertEqual(done.returncode, 0)
        self.assertIn("better: accept it", done.stdout)

    def test_a_figure_of_another_compiler_or_server_is_not_judged(self):
        done = self.guard({"brain": 5000}, by="Swift 9.9 on x86_64")
        self.assertEqual(done.returncode, 0)
        self.assertIn("| 5,000 |  |  | not judged: none was accepted with Swift 9.9 on x86_64 |", done.stdout)

    def test_a_figure_that_nobody_has_accepted_and_one_that_is_gone_fail(self):
        self.assertEqual(self.guard({"brain": 1000, "store": 1}).returncode, 1)
        self.assertEqual(self.guard({}).returncode, 1)

    def test_nothing_is_accepted_without_a_reason(self):
        before = self.accepted.read_text()
        for options in (["--accept", "brain"], ["--accept", "brain", "--note", " "]):
            done = self.guard({"brain": 2000}, *options)
            self.assertEqual(done.returncode, 2)
            self.assertIn('--accept needs a reason: --note "why"', done.stderr)
        self.assertEqual(self.accepted.read_text(), before)

    def test_what_is_accepted_is_kept_with_the_reason_and_passes_from_then_on(self):
        self.write_accepted({"brain": {BY: 1000}, "store": {BY: 1000}})
        done = self.guard({"brain": 2000, "store": 2000}, "--accept", "brain", "--note", "it thinks twice")
        self.assertEqual(done.returncode, 1, "the store was not accepted")
        known = json.loads(self.accepted.read_text())
        self.assertEqual([known["figures"][name]["accepted"] for name in ("brain", "store")], [{BY: 2000}, {BY: 1000}])
        note = known["notes"][-1]
        self.assertEqual([note[key] for key in ("name", "by", "from", "to", "note")], ["brain", BY, 1000, 2000, "it thinks twice"])
        self.assertEqual(self.guard({"brain": 2000, "store": 2000}, "--accept", "all", "--note", "so does the store").returncode, 0)
        self.assertEqual(self.guard({"brain": 2000, "store": 2000}).returncode, 0)

    def test_a_name_that_is_not_there_is_refused(self):
        done = self.guard({"brain": 1000}, "--accept", "brian", "--note", "why not")
        self.assertEqual(done.returncode, 1)
        self.assertIn("There is no figure brian; there are: brain", done.stderr)


if __name__ == "__main__":
    unittest.main()
