"""A fleet of the service under a virtual clock: what an autoscaling policy costs, and what it misses.

    scenario.yaml --> demand   who comes when, for how long             (the same for every policy)
                  --> curve    the service's own core at each occupancy (the real scheduler, under a virtual clock)
                  --> fleet    gateway, pods, nodes, autoscaler, failures, rollouts (simpy) --> results --> report

A pod is either *exact* (`exact.py`: a whole `service.core.Core`) or *coarse* (`coarse.py`: the service's own admission
over the curve); both answer to `pods.Pod`, and a test holds them against each other.
"""
