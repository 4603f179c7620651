FROM python:3.13-slim-bookworm

WORKDIR /opt/irisx
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1

# The packages first: they change less often than the code.
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
RUN pip install --no-deps -e .

VOLUME /var/lib/irisx
ENV IRISX_HOME=/var/lib/irisx
ENTRYPOINT ["irisx"]
CMD ["--help"]
