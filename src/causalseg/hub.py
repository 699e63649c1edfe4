"""Files on the Hugging Face hub: fetched once, asked for once, without minutes of retries."""

from pathlib import Path

from causalseg.errors import InputError

_SECONDS = 5
"""How long the hub may take to answer that it has a file."""


class NoSuchFileError(InputError):
    """The hub has the repository, but not the file."""


def cached(repository: str, file: str) -> Path | None:
    """A file that was fetched before; None where it was not, or the name is of no repository."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file, local_files_only=True))
    except Exception:  # the library's own errors, of which there are many kinds
        return None


def fetch(repository: str, file: str, *, fixed: bool = False) -> Path:
    """A file of a model repository, from the hub's cache on this machine where it is there.

    Args:
        repository: OWNER/NAME.
        file: its path in the repository.
        fixed: the file never changes, so that a cached one is taken without asking for a newer.

    Raises:
        InputError: the hub does not have it (`NoSuchFileError` where it has the repository), or
            cannot be reached and nothing is cached.

    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
    )

    known = cached(repository, file)
    if known is not None and fixed:
        return known
    try:
        if known is None:
            # This asks once; hf_hub_download asks again for most of a minute where it has nothing.
            get_hf_file_metadata(hf_hub_url(repository, file), timeout=_SECONDS)
        return Path(hf_hub_download(repository, file, etag_timeout=_SECONDS))
    except HFValidationError:
        raise InputError(f"{repository!r} is no name of a repository: OWNER/NAME.") from None
    except HfHubHTTPError as error:
        kind = NoSuchFileError if isinstance(error, EntryNotFoundError) else InputError
        raise kind(
            f"the hub does not give {file} of {repository} ({error.response.status_code}): check "
            "the name, or log in with 'hf auth login' where the repository is private."
        ) from None
    except Exception as error:  # whatever the hub's HTTP client raises without a network
        raise InputError(
            f"{file} of {repository} is not in the cache and the hub cannot be reached "
            f"({type(error).__name__}): fetch it where there is a network, or name a local file."
        ) from None


def push(path: Path, repository: str, file: str, *, private: bool = True) -> str:
    """Upload a file to a model repository, which is made where there is none.

    Returns:
        The address of the upload.

    Raises:
        InputError: the hub refuses it or cannot be reached.

    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.upload_file(path_or_fileobj=path, path_in_repo=file, repo_id=repository)
    except HFValidationError:
        raise InputError(f"{repository!r} is no name of a repository: OWNER/NAME.") from None
    except HfHubHTTPError as error:
        raise InputError(
            f"the hub does not take {file} for {repository} ({error.response.status_code}): log in "
            "with 'hf auth login' by a token that may write there."
        ) from None
    except Exception as error:
        raise InputError(f"the hub cannot be reached ({type(error).__name__}).") from None
    return str(done.commit_url)
