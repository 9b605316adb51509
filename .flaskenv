# Read by the `flask` command in a checkout; an image does not carry this file.
FLASK_APP=saas
SAAS_ENV=development
