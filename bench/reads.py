"""A FHIR read through each proxy: tokens seen before, many connections, tokens never seen."""

import load
from report import section
from stage import PATH


def measure(stage, report):
    """Gives the closed-loop results with 64 connections."""
    nginx, haproxy, fsync, system = order = [stage.nginx, stage.haproxy, stage.fsync, stage.system]
    results = closed_loop(stage, order)
    few = stage.options.tokens
    title = f"A FHIR read of 1.4 KiB, RS256, {few} tokens in turn, {load.CONNECTIONS} connections"
    pairs = [(peer.name, ours.name, f"reads/{few}/{peer.name}" if ours is fsync else None)
             for ours in (fsync, system) for peer in (nginx, haproxy)]
    report.add(section(title, order, results, pairs, report))
    stage.busy |= {server.name: server.memory("VmHWM") for server in order}
    wide = closed_loop(stage, [fsync, system], 256)
    report.add(section("The same, 256 connections", [fsync, system], wide, [(system.name, fsync.name, "wide/os")], report))
    if stage.options.many_tokens:
        misses(stage, report, [nginx, haproxy, fsync])
    return results


def misses(stage, report, order):
    """Each measurement goes on where the one before ended: from the start again it would find tokens still remembered."""
    many = stage.options.many_tokens
    path = stage.write_tokens("many", stage.mint(stage.fsync, many))
    stage.fsync.rest()
    turn = dict.fromkeys((server.name for server in order), 0)

    def measured(server, seconds):
        result = load.wrk(server, load.CONNECTIONS, seconds, PATH, ["tokens", path, turn[server.name]])
        turn[server.name] = (turn[server.name] + result["requests"]) % many
        return result

    results = load.rounds(order, stage.options, measured)
    title = f"The same, {many} tokens in turn: more than are remembered, so nearly each is verified anew"
    pairs = [(peer.name, stage.fsync.name, f"reads/{many}/{peer.name}") for peer in order[:2]]
    report.add(section(title, order, results, pairs, report))


def closed_loop(stage, order, connections=load.CONNECTIONS):
    return load.rounds(order, stage.options, lambda server, seconds: load.wrk(
        server, connections, seconds, PATH, ["tokens", stage.lists[server.name]]))
