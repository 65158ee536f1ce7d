"""A page to play with, on this machine alone: drop a photo or take a drawn face.

privacy-exp app [judges=[dlib]] [onnx=FILE] [port=7860]      needs the extra `app`
"""

from omegaconf import DictConfig

from privacy_exp import UserError
from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> None:
    """Serves the page until it is interrupted.

    Args:
        config: composed from conf/app.yaml.

    Raises:
        UserError: gradio is missing, or a judge cannot be used.
    """
    try:
        import gradio  # noqa: F401  asked here, so that its absence is one sentence
    except ImportError as error:
        raise UserError("the page needs gradio: pip install 'privacy-exp[app]'.") from error
    from privacy_exp import OnnxJudge
    from privacy_exp.report.playground import serve

    judges = [*config.judges, *([OnnxJudge(config.onnx)] if config.onnx is not None else [])]
    serve(judges, config.port)


main = entry_point("app", run)

if __name__ == "__main__":
    main()
