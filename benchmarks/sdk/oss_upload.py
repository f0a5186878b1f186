"""A file becomes an object of OSS with Alibaba Cloud's SDK, by its own uploader as it is documented."""

import json
import sys

import alibabacloud_oss_v2 as oss

options, secrets, file, _ = sys.argv[1:]
asked, keys = json.loads(options), json.loads(secrets)

config = oss.config.load_default()
config.credentials_provider = oss.credentials.StaticCredentialsProvider(keys["ID"], keys["SECRET"])
config.region, config.endpoint, config.use_path_style = asked["region"], asked["endpoint"], True
uploader = oss.Client(config).uploader()
uploader.upload_file(oss.PutObjectRequest(bucket=asked["bucket"], key="shot.mp4"), file)
