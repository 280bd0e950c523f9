#!/bin/sh
# The H200 node pool of an AKS cluster: 8 GPUs a node, one pod a GPU. AKS sets no taint by itself.
# Device plugin: NVIDIA's GPU operator, or AKS's managed one. Nine nodes: one more than the autoscaler's 64 pods fill, for
# the engines' build and for the pods of a node that drains. An upgrade fails if a node has not drained in the minutes given.
# None is made before a pod asks for one, where az itself would make three.
set -eu
: "${RESOURCE_GROUP:?resource group of the cluster}" "${CLUSTER:?name of the cluster}"
az aks nodepool add \
  --resource-group "$RESOURCE_GROUP" --cluster-name "$CLUSTER" --name h200 \
  --node-vm-size Standard_ND96isr_H200_v5 \
  --enable-cluster-autoscaler --node-count 0 --min-count 0 --max-count 9 \
  --drain-timeout 120 \
  --labels chameleon-pool=h200 \
  --node-taints nvidia.com/gpu=present:NoSchedule
