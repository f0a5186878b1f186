"""What Slack's answers mean, in words; no webhook and no token is ever in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from wanrun import SinkError
from wanrun.client.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE = re.compile(r"[a-z_]{1,60}")  #: what Slack's errors look like; no token does, and no link

_REVOKED = "the webhook was revoked; make a new one and set its secret anew"
_ARCHIVED = "the channel is archived; unarchive it, or take another one"
_INVITE = "invite the app to the channel, and see that the id is right"
_TOKEN = "copy the app's bot token (xoxb-...) anew"  # noqa: S105  # words

#: What a person does about an error, of webhooks and of the Web API.
_ADVICE = {
    "no_service": _REVOKED,
    "no_service_id": _REVOKED,
    "no_active_hooks": _REVOKED,
    "invalid_token": _REVOKED,
    "no_team": "the webhook's workspace is gone; make one in another",
    "team_disabled": "the webhook's workspace is gone; make one in another",
    "action_prohibited": "an admin has restricted webhooks; ask them to allow this one",
    "posting_to_general_channel_denied": "few may post to this channel; take another one, or ask an admin",
    "channel_is_archived": _ARCHIVED,
    "is_archived": _ARCHIVED,
    "channel_not_found": _INVITE,
    "not_in_channel": _INVITE,
    "invalid_auth": _TOKEN,
    "not_authed": _TOKEN,
    "not_allowed_token_type": _TOKEN,
    "token_revoked": f"the token was revoked; install the app anew, and {_TOKEN}",
    "token_expired": f"the token has expired; {_TOKEN}, or switch its rotation off",
    "account_inactive": f"the app was removed; install it anew, and {_TOKEN}",
    "restricted_action": "the workspace lets this app not post there; ask an admin",
    "ekm_access_denied": "an admin has suspended posting; ask them",
    "file_uploads_disabled": "the workspace takes no files; ask an admin, or name another sink for results",
    "file_type_not_allowed": "the workspace takes no files of this type; ask an admin",
    "file_upload_size_restricted": "the workspace takes no files of this size; ask an admin",
    "storage_limit_reached": "the workspace is full; delete files there",
}


class SlackRefused(SinkError):
    """Slack has answered, and the answer is no."""

    def __init__(self, words: str, *, code: str) -> None:
        super().__init__(words)
        self.code = code  #: as Slack calls it; empty where it does not say


def answer_of(body: bytes) -> dict[str, Any]:
    """Return an answer of the Web API; an empty one where it is none."""
    answer = read_json(body.decode("utf-8", "replace"))
    return answer if isinstance(answer, dict) else {}


def refusal(what: str, status: int, code: object, answer: Mapping[str, Any] | None = None) -> SlackRefused:
    """Return the error of a call that Slack refused: its own code where that is one, else the status."""
    known = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    said = f"Slack answered {what} with {known or status}"
    if known == "missing_scope":
        needed = str((answer or {}).get("needed", ""))
        scope = needed if re.fullmatch(r"[a-z:._,]{1,60}", needed) else "that it lacks"
        return SlackRefused(f"{said}; give the app the scope {scope} and install it anew", code=known)
    advice = _ADVICE.get(known, "" if status == 200 or status < 500 else "that is a fault of its own")
    return SlackRefused(f"{said}; {advice}" if advice else said, code=known)
