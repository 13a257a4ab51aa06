# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_msctl_global_optspecs
    string join \n output= C/directory= h/help V/version
end

function __fish_msctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_msctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_msctl_using_subcommand
    set -l cmd (__fish_msctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c msctl -n "__fish_msctl_needs_command" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_needs_command" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_needs_command" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_needs_command" -s V -l version -d 'Print version'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "new" -d 'Scaffold a service'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "generate" -d 'Write Dockerfile, Kubernetes and Istio manifests from msctl.yaml'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "gate" -d 'Judge a service before it ships: lint, dependencies, secrets, Dockerfile, manifests, image'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "canary" -d 'Release step by step, and go back when the canary is worse'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "health" -d 'Say whether a service is healthy, and why not'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "logs" -d 'Read a service\'s logs'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "tour" -d 'See the whole way once, in a temporary directory'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "schema" -d 'Print the JSON Schema of a document'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "man" -d 'Write the man pages'
complete -c msctl -n "__fish_msctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c msctl -n "__fish_msctl_using_subcommand new" -l module -d 'Its Go module path (default: example.com/NAME)' -r
complete -c msctl -n "__fish_msctl_using_subcommand new" -l component -d 'Add a component' -r
complete -c msctl -n "__fish_msctl_using_subcommand new" -l without -d 'Leave a component out' -r
complete -c msctl -n "__fish_msctl_using_subcommand new" -l http-port -d 'The port of HTTP and the probes (default: 8080)' -r
complete -c msctl -n "__fish_msctl_using_subcommand new" -l grpc-port -d 'The port of gRPC (default: 9090)' -r
complete -c msctl -n "__fish_msctl_using_subcommand new" -l metrics-port -d 'The port of the metrics (default: 9100)' -r
complete -c msctl -n "__fish_msctl_using_subcommand new" -l into -d 'The directory to make the service\'s directory in (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand new" -l answers -d 'A YAML file with keys of msctl.yaml: name, module, ports, components' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand new" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand new" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand new" -s y -l yes -d 'Ask nothing, take the defaults'
complete -c msctl -n "__fish_msctl_using_subcommand new" -l dry-run -d 'Print what would be written, and write nothing'
complete -c msctl -n "__fish_msctl_using_subcommand new" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand generate" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand generate" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand generate" -l check -d 'Write nothing; exit 1 and show the difference where a file is not as msctl.yaml says'
complete -c msctl -n "__fish_msctl_using_subcommand generate" -l dry-run -d 'Write nothing; say what would be written'
complete -c msctl -n "__fish_msctl_using_subcommand generate" -l stdout -d 'Write nothing; print the files'
complete -c msctl -n "__fish_msctl_using_subcommand generate" -l overwrite -d 'Replace files that somebody else wrote, or edited'
complete -c msctl -n "__fish_msctl_using_subcommand generate" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -l only -d 'Make these checks alone' -r -f -a "dockerfile\t'The Dockerfile'
manifests\t'Kubernetes manifests'
secrets\t'Secrets in files'
lint\t'The code'
audit\t'Known vulnerabilities of dependencies'
image\t'The image'"
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -l image -d 'The image: a docker-save archive, an OCI layout' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -l fail-on -d 'The least severity that fails (msctl.yaml: gate.fail-on)' -r -f -a "low\t'Low'
medium\t'Medium'
high\t'High'
critical\t'Critical'"
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -l base -d 'The revision whose policy and waivers hold' -r
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -l trivy-db -d 'trivy\'s database, for the image' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -l vuln-db -d 'The Go vulnerability database, for the audit' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -l timeout -d 'What one run of a tool may take' -r
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -l write -d 'Write sarif, junit, markdown, github, gitlab, html' -r
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand gate; and not __fish_seen_subcommand_from waive" -f -a "waive" -d 'Answer for a finding until a day: adds a waiver to .msctl/waivers.yaml'
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -l path -d 'In these files: deploy/pod.yaml, deploy/**/*.yaml' -r
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -l package -d 'Of this package, in every version' -r
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -l owner -d 'Who answers for it' -r
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -l reason -d 'Why' -r
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -l expires -d 'The last day on which it holds, in UTC' -r
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -l id -d 'Its own name (default: that of the rule)' -r
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -l dry-run -d 'Print what would be added, and write nothing'
complete -c msctl -n "__fish_msctl_using_subcommand gate; and __fish_seen_subcommand_from waive" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "rehearse" -d 'Try a release without a cluster'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "backtest" -d 'Say how the plan would have done over the past that Prometheus has'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "run" -d 'Release the canary in a cluster, step by step'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "start" -d 'The same in the background'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "status" -d 'Say where traffic is, and what a release is doing'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "watch" -d 'Watch a release to its end, whoever drives it'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "abort" -d 'Give stable all the traffic, now'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "pause" -d 'Ask a release to take no further step'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "resume" -d 'Go on after a pause, or in place of a driver that is gone'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "promote" -d 'Take the present step as done'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "set" -d 'Set one weight by hand'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "guard" -d 'Put traffic back when the driver of a release is gone'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "explain" -d 'Recompute every decision of a release from its journal'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "history" -d 'List the releases of this service, newest first'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "report" -d 'Write a release as one HTML page: plots, steps, decisions'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "export" -d 'Print the plan for Flagger or Argo Rollouts'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and not __fish_seen_subcommand_from rehearse backtest run start status watch abort pause resume promote set guard explain history report export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l stable -d 'What serves today: a command (default: the service here, built; else a backend in this process)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l canary -d 'What is tried: a command (default: the same as stable)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l fault -d 'Break the canary: errors=30%, latency=+200ms, crash, hang' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l rate -d 'Requests a second over both arms, before `--fast`' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l path -d 'The path of the requests (default: one of the service\'s own, else /)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l steps -d 'The steps in percent (default: those of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l hold -d 'How long each step is watched at least (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l seed -d 'The seed of the dice: the same requests go the same way' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l built-in -d 'Use the backends in this process, whatever there is to build'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -l fast -d 'Time runs 50 times as fast, with as many more requests; latencies stay what they are'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from rehearse" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -l prometheus -d 'Where counters are read' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -l metrics -d 'Whose counters they are' -r -f -a "istio\t'`istio_requests_total`, as the callers\' proxies report it'
envoy\t'`envoy_cluster_upstream_rq…`, as Envoy counts by itself'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -l interval -d 'How long it is between two scrapes' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -l steps -d 'The steps in percent (default: those of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -l hold -d 'How long each step is watched at least (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -l last -d 'How much of the past is tried' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -l every -d 'How long after the other releases begin (default: a 48th of `--last`)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -l seed -d 'The seed of the dice that split the past between the arms' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from backtest" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l prometheus -d 'Where counters are read' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l metrics -d 'Whose counters they are' -r -f -a "istio\t'`istio_requests_total` in a Prometheus, as the callers\' proxies report it'
envoy\t'`envoy_cluster_upstream_rq…` in a Prometheus, as Envoy counts by itself'
proxies\t'The same, read from every proxy: no Prometheus is needed'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l interval -d 'How long it is between two scrapes (default: 5s, of proxies 1s)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l reassert -d 'The field manager whose re-apply of the route is put right, and not obeyed: argocd-controller, kubectl-client-side-apply …' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l notify -d 'A webhook that is told how the release goes, as Slack takes it' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l steps -d 'The steps in percent (default: those of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l hold -d 'How long each step is watched at least (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l gates -d 'The steps after which it waits for `msctl canary promote`, in percent' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l on-stop -d 'What becomes of traffic on Ctrl-C or SIGTERM' -r -f -a "rollback\t'It goes back to stable'
hold\t'It stays where it is, for `msctl canary resume`'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l image -d 'The image of that Job; msctl is its entrypoint' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l proxies-in -d 'Where else proxies call this service, such as that of a gateway, or `*`: the Job may ask those of its own namespace and of --mesh' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l ignore-freeze -d 'Go on in a freeze of msctl.yaml too'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l adopt -d 'Take the weight that the canary has already as the current step'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l or-resume -d 'Go on with a release that was left without a driver, where there is one: for what starts drivers by itself'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l dry-run -d 'Say what would be done, and change nothing'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -l in-cluster -d 'Release by a Job in the cluster; with --dry-run it is printed with its rights, for `kubectl apply`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l prometheus -d 'Where counters are read' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l metrics -d 'Whose counters they are' -r -f -a "istio\t'`istio_requests_total` in a Prometheus, as the callers\' proxies report it'
envoy\t'`envoy_cluster_upstream_rq…` in a Prometheus, as Envoy counts by itself'
proxies\t'The same, read from every proxy: no Prometheus is needed'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l interval -d 'How long it is between two scrapes (default: 5s, of proxies 1s)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l reassert -d 'The field manager whose re-apply of the route is put right, and not obeyed: argocd-controller, kubectl-client-side-apply …' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l notify -d 'A webhook that is told how the release goes, as Slack takes it' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l steps -d 'The steps in percent (default: those of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l hold -d 'How long each step is watched at least (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l gates -d 'The steps after which it waits for `msctl canary promote`, in percent' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l on-stop -d 'What becomes of traffic on Ctrl-C or SIGTERM' -r -f -a "rollback\t'It goes back to stable'
hold\t'It stays where it is, for `msctl canary resume`'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l image -d 'The image of that Job; msctl is its entrypoint' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l proxies-in -d 'Where else proxies call this service, such as that of a gateway, or `*`: the Job may ask those of its own namespace and of --mesh' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l ignore-freeze -d 'Go on in a freeze of msctl.yaml too'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l adopt -d 'Take the weight that the canary has already as the current step'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l or-resume -d 'Go on with a release that was left without a driver, where there is one: for what starts drivers by itself'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l dry-run -d 'Say what would be done, and change nothing'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -l in-cluster -d 'Release by a Job in the cluster; with --dry-run it is printed with its rights, for `kubectl apply`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from watch" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from abort" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l prometheus -d 'Where counters are read' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l metrics -d 'Whose counters they are' -r -f -a "istio\t'`istio_requests_total` in a Prometheus, as the callers\' proxies report it'
envoy\t'`envoy_cluster_upstream_rq…` in a Prometheus, as Envoy counts by itself'
proxies\t'The same, read from every proxy: no Prometheus is needed'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l interval -d 'How long it is between two scrapes (default: 5s, of proxies 1s)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l reassert -d 'The field manager whose re-apply of the route is put right, and not obeyed: argocd-controller, kubectl-client-side-apply …' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l notify -d 'A webhook that is told how the release goes, as Slack takes it' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -l ignore-freeze -d 'Go on in a freeze of msctl.yaml too'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -l full -d 'All steps are taken as done: the canary gets all the traffic'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from promote" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -l kubeconfig -d 'The kubeconfig (default: KUBECONFIG, then ~/.kube/config, then the account of the pod this runs in)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -l context -d 'The context in it (default: the current one)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -s n -l namespace -d 'The namespace (default: that of msctl.yaml)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -l route -d 'What splits the traffic: virtualservice/NAME, httproute/NAME or grpcroute/NAME, KIND/NAMESPACE/NAME for one elsewhere; several move together (default: the `VirtualService` called as the service)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -l stable -d 'The Service of stable, where each arm has one of its own' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -l canary -d 'The Service of the canary' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -l mesh -d 'Where istiod is; its proxies are asked what is in force' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -l patience -d 'A driver that does not renew its lease for so long is gone' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -l keep -d 'Go on with the next release'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from guard" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from explain" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from explain" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from history" -l limit -d 'So many at the most, the newest first' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from history" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from history" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from report" -l out -d 'Write the page here, `-` for stdout (default: beside the journal, with .html)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from report" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from report" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from report" -l overwrite -l force -d 'Replace a file that is no page of msctl\'s'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from report" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from export" -l to -d 'The controller' -r -f -a "flagger\t'Flagger\'s Canary'
argo-rollouts\t'Argo\'s Rollout, with its analysis'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from export" -l prometheus -d 'Where Argo Rollouts asks Prometheus (default: <http://prometheus.monitoring.svc.cluster.local:9090>)' -r
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from export" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from export" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "rehearse" -d 'Try a release without a cluster'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "backtest" -d 'Say how the plan would have done over the past that Prometheus has'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "run" -d 'Release the canary in a cluster, step by step'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "start" -d 'The same in the background'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "status" -d 'Say where traffic is, and what a release is doing'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "watch" -d 'Watch a release to its end, whoever drives it'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "abort" -d 'Give stable all the traffic, now'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "pause" -d 'Ask a release to take no further step'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Go on after a pause, or in place of a driver that is gone'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "promote" -d 'Take the present step as done'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "set" -d 'Set one weight by hand'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "guard" -d 'Put traffic back when the driver of a release is gone'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "explain" -d 'Recompute every decision of a release from its journal'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "history" -d 'List the releases of this service, newest first'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "report" -d 'Write a release as one HTML page: plots, steps, decisions'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "export" -d 'Print the plan for Flagger or Argo Rollouts'
complete -c msctl -n "__fish_msctl_using_subcommand canary; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c msctl -n "__fish_msctl_using_subcommand health" -l url -d 'The service: /livez, /readyz and /startupz are asked below this URL' -r
complete -c msctl -n "__fish_msctl_using_subcommand health" -l metrics -d 'Also read requests, errors and duration from these Prometheus metrics' -r
complete -c msctl -n "__fish_msctl_using_subcommand health" -l timeout -d 'Give each answer this long' -r
complete -c msctl -n "__fish_msctl_using_subcommand health" -l wait -d 'Ask again until it is healthy, at most this long' -r
complete -c msctl -n "__fish_msctl_using_subcommand health" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand health" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand health" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand logs" -l level -d 'Show this level and graver ones; lines without a level are shown' -r -f -a "trace\t''
debug\t''
info\t''
warn\t''
error\t''
fatal\t''"
complete -c msctl -n "__fish_msctl_using_subcommand logs" -l grep -d 'Show lines that match, as they came' -r
complete -c msctl -n "__fish_msctl_using_subcommand logs" -l fields -d 'The fields to show behind the message' -r
complete -c msctl -n "__fish_msctl_using_subcommand logs" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand logs" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand logs" -l stdin -d 'Read standard input'
complete -c msctl -n "__fish_msctl_using_subcommand logs" -l summary -d 'Count instead: lines by level and service, error rate'
complete -c msctl -n "__fish_msctl_using_subcommand logs" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand tour" -l keep -d 'Make it in this new directory, and keep it (default: a temporary one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand tour" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand tour" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand tour" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand schema" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand schema" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand schema" -l list -d 'List the documents'
complete -c msctl -n "__fish_msctl_using_subcommand schema" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand completions" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand completions" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand completions" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand man" -l output -d 'What goes to stdout (auto: human, or ci when CI is set)' -r -f -a "human\t'For eyes: colour and live views where there is a terminal'
json\t'One JSON document; streams are JSON Lines'
ci\t'Plain lines, one an event, and annotations where the CI system has them'"
complete -c msctl -n "__fish_msctl_using_subcommand man" -s C -l directory -d 'The service\'s directory (default: the current one)' -r -F
complete -c msctl -n "__fish_msctl_using_subcommand man" -s h -l help -d 'Print help; all of it: `msctl help VERB`'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "new" -d 'Scaffold a service'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "generate" -d 'Write Dockerfile, Kubernetes and Istio manifests from msctl.yaml'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "gate" -d 'Judge a service before it ships: lint, dependencies, secrets, Dockerfile, manifests, image'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "canary" -d 'Release step by step, and go back when the canary is worse'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "health" -d 'Say whether a service is healthy, and why not'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "logs" -d 'Read a service\'s logs'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "tour" -d 'See the whole way once, in a temporary directory'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "schema" -d 'Print the JSON Schema of a document'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "man" -d 'Write the man pages'
complete -c msctl -n "__fish_msctl_using_subcommand help; and not __fish_seen_subcommand_from new generate gate canary health logs tour schema completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from gate" -f -a "waive" -d 'Answer for a finding until a day: adds a waiver to .msctl/waivers.yaml'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "rehearse" -d 'Try a release without a cluster'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "backtest" -d 'Say how the plan would have done over the past that Prometheus has'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "run" -d 'Release the canary in a cluster, step by step'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "start" -d 'The same in the background'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "status" -d 'Say where traffic is, and what a release is doing'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "watch" -d 'Watch a release to its end, whoever drives it'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "abort" -d 'Give stable all the traffic, now'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "pause" -d 'Ask a release to take no further step'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "resume" -d 'Go on after a pause, or in place of a driver that is gone'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "promote" -d 'Take the present step as done'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "set" -d 'Set one weight by hand'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "guard" -d 'Put traffic back when the driver of a release is gone'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "explain" -d 'Recompute every decision of a release from its journal'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "history" -d 'List the releases of this service, newest first'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "report" -d 'Write a release as one HTML page: plots, steps, decisions'
complete -c msctl -n "__fish_msctl_using_subcommand help; and __fish_seen_subcommand_from canary" -f -a "export" -d 'Print the plan for Flagger or Argo Rollouts'
