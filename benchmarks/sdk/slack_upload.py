"""A file is shared in a channel with Slack's SDK, as it is documented."""

import json
import sys

from slack_sdk import WebClient

options, secrets, file, _ = sys.argv[1:]
asked, keys = json.loads(options), json.loads(secrets)

WebClient(keys["TOKEN"], base_url=asked["api"], timeout=300).files_upload_v2(channel=asked["channel"], file=file)
