"""The source: which commit of the followed git branch should be in force on this controller.

poller              the thread that polls the remotes
selector            fetch, advance, verify, load: the steps that end in a `selection`
trust_policy        which remotes are fetched and whose signatures count; `unsigned_commits` for those without
commit_trailers     for which pair and branch a commit is meant
signer_scopes       what each signer may change
refused_tips        refused commits that need no second check
content, blame      the compiled content of a commit, and the author of each line
admission           whether a command may use a commit that the operator names
local_head          a cheap check whether a local branch has moved
"""
