#!/bin/sh
# The H200 node pool of a GKE Standard cluster: 8 GPUs a node, one pod a GPU. GKE itself adds the label
# cloud.google.com/gke-accelerator and the taint nvidia.com/gpu=present:NoSchedule, and installs the driver.
# Reserve capacity first: a3-ultragpu-8g comes by reservation or queued provisioning only. Nine nodes: one more than the
# autoscaler's 64 pods fill, for the engines' build and for the pods of a node that drains. An upgrade waits for a node to
# drain, up to an hour, and asks for none beyond the reservation. A regional cluster's pool would span its zones, with as many
# nodes in each: it lies in the reservation's. None is made before a pod asks for one, where gcloud itself would make three.
set -eu
: "${CLUSTER:?name of the cluster}" "${LOCATION:?region or zone of the cluster}"
: "${RESERVATION:?name of the reservation}" "${ZONE:?zone of the reservation}"
gcloud container node-pools create h200 \
  --cluster="$CLUSTER" --location="$LOCATION" --node-locations="$ZONE" \
  --machine-type=a3-ultragpu-8g \
  --accelerator=type=nvidia-h200-141gb,count=8,gpu-driver-version=latest \
  --reservation-affinity=specific --reservation="$RESERVATION" \
  --enable-autoscaling --num-nodes=0 --min-nodes=0 --max-nodes=9 \
  --max-surge-upgrade=0 --max-unavailable-upgrade=1 \
  --node-labels=chameleon-pool=h200 \
  --shielded-secure-boot --shielded-integrity-monitoring
