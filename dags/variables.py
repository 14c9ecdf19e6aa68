"""Names of the environment variables that the DAGs read, or set for the processes they start."""

COMPILED = "CLASSLIFT_COMPILED"
"""The folder of all compiled configs."""

ML_PYTHON = "CLASSLIFT_ML_PYTHON"
"""The Python of the ML environment; `.venv/ml/bin/python` by default."""

TENSORBOARD = "CLASSLIFT_TENSORBOARD"
"""Address of a TensorBoard, for a link."""

UMASK = "CLASSLIFT_UMASK"
"""The umask of whoever started Airflow, in octal."""

PARENT = "CLASSLIFT_PARENT"
"""Id of the process of the task: what it started ends when it does."""

PARAMETERS = "CLASSLIFT_PARAMETERS"
"""The parameters of the run, as one JSON object."""

APPROVAL = "CLASSLIFT_APPROVAL"
"""Who approved of a push that the gate blessed, as JSON."""

HOLDER = "CLASSLIFT_HOLDER"
"""What the processes of one run have in common where its id is not known beforehand."""

PROGRESS = "CLASSLIFT_PROGRESS"
"""The file to which nodes add their lines of progress, for whoever started Airflow to read."""

METADATA = "CLASSLIFT_METADATA"
"""The database of ML Metadata."""

VERBOSE = "CLASSLIFT_VERBOSE"
"""Set where libraries may say all that they want to."""

PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "TF_CONFIG",
    COMPILED,
    HOLDER,
    METADATA,
    PROGRESS,
    VERBOSE,
    "PGPASSWORD",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
)
"""What of the worker's environment a process sees: no secret of Airflow's is among it. PGPASSWORD
is of ML Metadata's database, which nodes write to; the last ones are of object storage, which the
snapshot reads."""
