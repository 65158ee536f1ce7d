"""The fit alone: a checkpoint and its clean accuracy."""

from privacy_exp.cache.files import write_text
from privacy_exp.recognition.fit import clean_accuracy
from privacy_exp.study.job import Job


def fit_only(job: Job) -> float:
    """Fits the recogniser, keeps its checkpoint in the run folder, and returns its accuracy on the test photos.

    Args:
        job: whose study is fitted; nothing is painted.
    """
    failed = True
    try:
        job.start_tracking()
        accuracy = clean_accuracy(job.fit().recognizer, job.data.batches("test"))
        write_text(job.folder / "clean_accuracy.txt", f"{accuracy:.6f}\n")
        failed = False
    finally:
        job.tracking.finish(failed)
    return accuracy
