"""Flows of the console's tests."""

from __future__ import annotations

HEAD = "version: v1\ntype: flow\nsteps:\n"

ORDER = (
    HEAD
    + """
- {type: task, name: price, resourceArn: shop/price}
- type: choice
  name: large
  choices:
    - condition: $.total > 1000
      goto: approval
  default:
    goto: pack
- type: task
  name: approval
  resourceArn: shop/ask
  pattern: waitForCallback
  inputMappings:
    - {target: token, source: $context.task.token}
    - {target: total, source: $local.total}
  outputMappings:
    - {target: approved, source: $local.approved}
  catch:
    - {errors: [Rejected], goto: refused}
- {type: task, name: pack, resourceArn: shop/pack}
- type: parallel
  name: send
  outputMappings:
    - {target: sent, source: "$local[*].tracking"}
  branches:
    - steps:
        - {type: task, name: ship, resourceArn: shop/ship}
    - steps:
        - {type: pass, name: invoice}
        - {type: task, name: again, resourceArn: shop/price}
- {type: succeed, name: delivered}
- {type: fail, name: refused, error: OrderRefused, cause: somebody said no}
"""
)

LABELS = (
    HEAD
    + """
- type: foreach
  name: labels
  iterationMapping: {collection: $.numbers, item: number}
  concurrency: 4
  toleratedFailures: 5
  steps:
    - {type: task, name: label, resourceArn: shop/label}
"""
)

PLAIN_ITEMS = (
    HEAD
    + """
- type: foreach
  name: items
  iterationMapping: {collection: $.numbers, item: number}
  steps:
    - {type: pass, name: one}
- {type: wait, name: rest, duration: 600}
"""
)

STREAM = (
    HEAD
    + """
- type: stream
  name: juice
  fuse: false
  steps:
    - {type: task, name: pour, resourceArn: shop/pour}
    - {type: task, name: sieve, resourceArn: shop/sieve}
    - {type: task, name: fill, resourceArn: shop/fill}
"""
)

POLLING = (
    HEAD
    + """
- {type: pass, name: begin, outputMappings: [{target: turns, source: 0}]}
- type: foreach
  name: areas
  iterationMapping: {collection: $.areas, item: area}
  steps:
    - type: parallel
      name: both
      branches:
        - steps:
            - type: foreach
              name: parts
              iterationMapping: {collection: $.area, item: part}
              steps: [{type: pass, name: part}]
        - steps: [{type: pass, name: other}]
- type: task
  name: poll
  resourceArn: shop/price
  retry:
    - {errors: [FnF.ALL], intervalSeconds: 1, maxAttempts: 3}
  catch:
    - {errors: [FnF.ALL], goto: begin}
- type: choice
  name: ready
  choices:
    - condition: $.total < 0
      goto: pause
    - condition: $.total > 100000
      steps:
        - {type: task, name: sum, resourceArn: shop/price}
        - {type: wait, name: calm, duration: 3}
  default: {goto: done}
- {type: wait, name: pause, duration: 5}
- {type: choice, name: back, choices: [{condition: "true", goto: poll}]}
- {type: succeed, name: done}
"""
)
