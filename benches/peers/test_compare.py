"""compare.py against workers that are made up: `python3 -m unittest` in this folder."""

import json
import pathlib
import sys
import tempfile
import unittest

import compare

# Answers as a worker does, writes what it was asked to a common log, and is bent by the options of its second argument.
FAKE = r"""
import json, sys
log, bent = sys.argv[1], json.loads(sys.argv[2])
for line in sys.stdin:
    request = json.loads(line)
    with open(log, "a") as file:
        file.write(bent["name"] + " " + request["do"] + "\n")
    if request["do"] == bent.get("dies_at"):
        sys.exit(print("out of luck", file=sys.stderr) or 9)
    if request["do"] == bent.get("sleeps_at"):
        __import__("time").sleep(60)
    if request["do"] == "quit":
        break
    answer = {"device": bent["name"]}
    if request["do"] == "prepare":
        answer |= {"value": bent.get("value", "2.0"), "first_milliseconds": 1.0, "tensors": {}}
        for name, length in bent["lengths"].items():
            # Only the tensor of that name, if one is given, is bent.
            own = bent if name == bent.get("tensor", name) else {}
            entries = [own.get("entry", 0.5) if place == 0 else 0.5 for place in request["at"][name]]
            tensor = {"length": own.get("length", length), "norm": str(own.get("norm", 0.5 * length ** 0.5))}
            if not own.get("empty"):
                answer["tensors"][name] = {**tensor, "entries": [str(entry) for entry in entries]}
    if request["do"] == "run":
        answer["milliseconds"] = bent.get("milliseconds", 50.0)
    if request["do"] == bent.get("errs_at"):
        answer = {"error": "no room"}
    print(json.dumps(answer), flush=True)
"""

CASE = compare.Case("mse", (1000,))


class Comparison(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = pathlib.Path(folder.name, "log")
        self.script = pathlib.Path(folder.name, "fake.py")
        self.script.write_text(FAKE)

    def worker(self, name, case, limit=20.0, **bent):
        known = {"name": name, "lengths": case.lengths(), **bent}
        command = [sys.executable, str(self.script), str(self.log), json.dumps(known)]
        worker = compare.Worker(name, command, limit)
        self.addCleanup(worker.stop)
        return worker

    def record(self, cases=(CASE,), rounds=4, limit=20.0, ours=None, **bent):
        gradus, peer = self.worker("gradus", cases[0], **(ours or {})), self.worker("peer", cases[0], limit, **bent)
        return list(compare.run_cases(cases, gradus, peer, rounds, say=lambda text: None))

    def asked(self, what):
        return [line.split()[0] for line in self.log.read_text().splitlines() if line.split()[1] == what]

    def assert_refused(self, reason, case=CASE, **bent):
        (record,) = self.record(cases=(case,), **bent)
        self.assertIn(reason, record.get("refused", "taken"))
        self.assertEqual(self.asked("run"), [], "nothing may be timed")

    def test_equal_results_are_timed_in_turns(self):
        (record,) = self.record(milliseconds=100.0)
        self.assertEqual(record["ratio"], 2.0)
        self.assertEqual(record["ratio_of_rounds"]["quartiles"], [2.0, 2.0])
        # After three calls of each that warm up.
        self.assertEqual(self.asked("run")[6:], ["gradus", "peer", "peer", "gradus"] * 2)

    def test_a_wrong_value_is_refused_before_timing(self):
        self.assert_refused("value is 2.0 in gradus and 2.01 in the peer", value="2.01")

    def test_a_value_that_is_no_number_is_refused_before_timing(self):
        self.assert_refused("value is 2.0 in gradus and nan", value="nan")

    def test_a_missing_value_is_refused_before_timing(self):
        self.assert_refused("no value", value=None)

    def test_a_wrong_entry_of_the_gradient_is_refused_before_timing(self):
        self.assert_refused("gradient[0] is 0.5 in gradus and -0.5 in the peer", entry=-0.5)

    def test_an_entry_with_the_error_of_tf32_is_refused_before_timing(self):
        self.assert_refused("gradient[0]", entry=0.5 * (1 + 2**-11))

    def test_an_entry_that_is_no_number_is_refused_before_timing(self):
        self.assert_refused("gradient[0]", entry=float("nan"))

    def test_a_wrong_norm_is_refused_before_timing(self):
        self.assert_refused("norm of gradient", norm=17.0)

    def test_a_gradient_of_another_length_is_refused_before_timing(self):
        self.assert_refused("has not 1000 entries", length=999)

    def test_a_missing_gradient_is_refused_before_timing(self):
        self.assert_refused("has not 1000 entries", empty=True)

    def test_every_tensor_of_a_layer_is_compared(self):
        case = compare.Case("conv2d", (2, 4, 4, 3, 5, 3))
        for tensor in ("output", "input", "weight"):
            # Products and layers have no value.
            self.assert_refused(f"{tensor}[0] is 0.5 in gradus and 0.501 in the peer", case, tensor=tensor, entry=0.501, value=None)
            self.assert_refused(f"norm of {tensor}", case, tensor=tensor, norm=17.0)
            self.assert_refused(f"{tensor} of the peer has not {case.lengths()[tensor]} entries", case, tensor=tensor, empty=True)
        (record,) = self.record(cases=(case,), value=None)
        self.assertEqual(record["ratio"], 1.0)

    def test_losses_and_a_weight_of_a_network_are_compared_before_its_steps_are_timed(self):
        case = compare.Case("lenet5", (64, 28, 28, 1, 10), 10)
        self.assert_refused("losses[0] is 0.5 in gradus and 0.501 in the peer", case, tensor="losses", entry=0.501)
        self.assert_refused("weight0[0] is 0.5 in gradus and 0.53 in the peer", case, tensor="weight0", entry=0.53)
        self.assert_refused("value is 2.0 in gradus and 2.01 in the peer", case, value="2.01")
        self.assert_refused("has not 150 entries", case, tensor="weight0", length=149)
        # Adam's first steps follow the signs of gradients: a weight may move by twice its step.
        (record,) = self.record(cases=(case,), tensor="weight0", entry=0.51, milliseconds=100.0, ours={"milliseconds": 50.0})
        self.assertEqual((record["milliseconds"]["gradus"]["median"], record["ratio"]), (5.0, 2.0))

    def test_both_sides_wrong_in_the_same_way_are_still_no_numbers(self):
        self.assert_refused("value is nan", value="nan", ours={"value": "nan"})

    def test_what_a_worker_reports_as_an_error_is_the_reason(self):
        self.assert_refused("peer: no room", errs_at="prepare")

    def test_a_worker_that_dies_is_quoted_and_started_again_for_the_next_case(self):
        first, second = self.record(cases=(CASE, CASE), dies_at="prepare")
        self.assertIn("peer: ended (exit 9): out of luck", first["refused"])
        self.assertIn("out of luck", second["refused"])
        self.assertEqual(self.asked("prepare"), ["gradus", "peer"] * 2)

    def test_a_worker_that_says_nothing_is_given_up(self):
        self.assert_refused("no answer within 0.5 s", limit=0.5, sleeps_at="prepare")

    def test_a_short_call_is_repeated_until_a_sample_lasts(self):
        (record,) = self.record(milliseconds=0.1)
        self.assertEqual(record["calls_per_sample"], {"gradus": 1, "peer": 300})


class Cases(unittest.TestCase):
    def test_cases_are_chosen_by_name_and_by_size(self):
        self.assertEqual(len(compare.chosen("matmul", False)), 3)
        (case,) = compare.chosen("matmul:512x512x512", False)
        self.assertEqual(case.shape, (512, 512, 512))
        with self.assertRaises(SystemExit):
            compare.chosen("matmul:3x3x3", False)

    def test_entries_of_labels_are_among_those_compared(self):
        with tempfile.TemporaryDirectory() as folder:
            labels = bytes.fromhex("02000000" "01000000" "04000000")
            pathlib.Path(folder, "labels.i32").write_bytes(labels)
            at = compare.places(compare.Case("cross_entropy", (3, 5)), folder)["gradient"]
        self.assertTrue({2, 5 + 1, 10 + 4} <= set(at))

    def test_tensors_have_the_lengths_of_their_shapes(self):
        lengths = lambda *case: compare.Case(*case).lengths()
        conv = {"output": 2 * 7 * 5 * 4, "input": 2 * 7 * 5 * 6, "weight": 9 * 6 * 4}
        self.assertEqual(lengths("conv2d", (2, 7, 5, 6, 4, 3)), conv)
        self.assertEqual(lengths("attention", (2, 8, 3, 4)), dict.fromkeys(("output", "query", "key", "value"), 2 * 8 * 12))
        # A window that does not fit is left out.
        self.assertEqual(lengths("max_pool2d", (2, 7, 6, 3, 2)), {"output": 2 * 3 * 3 * 3, "input": 2 * 7 * 6 * 3})
        norm = {"output": 60, "input": 60, "weight": 5, "bias": 5}
        self.assertEqual(lengths("layer_norm", (12, 5)), norm)
        self.assertEqual(lengths("batch_norm", (3, 2, 2, 5)), norm)
        self.assertEqual(lengths("small_cnn", (8, 28, 28, 3, 10), 4), {"losses": 4, "weight0": 9 * 3 * 32})
        self.assertEqual(lengths("gpt", (2, 8, 65, 4, 4, 16), 4), {"losses": 4, "weight0": 3 * 16 * 16})

    def test_every_case_has_a_name_of_its_own_and_its_tensors(self):
        cases = compare.STANDARD + compare.LARGE
        self.assertEqual(len({case.title() for case in cases}), len(cases))
        for case in cases:
            self.assertTrue(all(length > 0 for length in case.lengths().values()), case)
        self.assertTrue({*compare.LAYERS, *compare.NETWORKS} <= {case.name for case in compare.STANDARD})

    def test_a_step_is_reported_for_one_and_an_epoch_as_a_whole(self):
        self.assertEqual(compare.Case("resnet8", (64, 28, 28, 1, 10), 5).per_call(), 5)
        self.assertEqual(compare.Case("train_step", (64, 4, 2), 20).per_call(), 20)
        self.assertEqual(compare.Case("epoch", (64, 4, 2), 157).per_call(), 1)

    def test_appended_results_replace_those_of_the_same_case_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "results.json")
            first, second = ({"peer": "jax", "case": "mse", "shape": [n], "steps": 0, "ratio": 1.0} for n in (4, 5))
            results = compare.Results(path, append=False)
            results.add(first)
            results.add(second)
            compare.Results(path, append=True).add({**first, "ratio": 2.0})
            kept = json.loads(path.read_text())["cases"]
        self.assertEqual([(case["shape"], case["ratio"]) for case in kept], [([5], 1.0), ([4], 2.0)])

    def test_every_worker_is_in_the_folder(self):
        for _, command in compare.PEERS.values():
            program = command.split()[1 if command.startswith("{python}") else 0]
            here = program.replace("{here}", str(compare.HERE)).replace("{target}", str(compare.HERE))
            path = pathlib.Path(here)
            # A built worker stands for its crate.
            self.assertTrue(path.is_file() or (compare.HERE / path.parts[len(compare.HERE.parts)] / "Cargo.toml").is_file(), path)


if __name__ == "__main__":
    unittest.main()
