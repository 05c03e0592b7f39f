"""The fence agents of Debian 12 (fence-agents 4.12) that switch power, and the options of each that may stand in git.

Read off the agents' own metadata. What is left out on purpose: agents that fence by storage or network (the disks'
reservations are hagit's own), options that are secret, options that name programs to run or files to write, patterns
(`command_prompt`), and those that make an agent talkative: with them it says what it was told. Decides nothing; what a
value may look like is in `options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Every agent knows these.
EVERY: Final = (
    "delay disable_timeout login_timeout plug plug_separator port power_timeout power_wait retry_on "
    "shell_timeout stonith_status_sleep"
)
_NET: Final = "ip ipaddr ipport login username"
_SSH: Final = "identity_file inet4_only inet6_only secure ssh"
_SSL: Final = "ssl ssl_insecure ssl_secure"
_SNMP: Final = "snmp_auth_prot snmp_priv_prot snmp_sec_level snmp_version"
#: Given to an agent from files of the controller, never from git.
SECRET: Final = frozenset(
    {
        "password", "passwd", "snmp_priv_passwd", "community", "hexadecimal_kg", "secret_key", "access_key", "apikey",
        "token", "key",
    }
)  # fmt: skip
#: These fence, but switch no power.
NO_POWER: Final = frozenset(
    {
        "fence_ack_manual", "fence_brocade", "fence_cisco_mds", "fence_compute", "fence_crosslink", "fence_dummy",
        "fence_evacuate", "fence_heuristics_ping", "fence_ifmib", "fence_kdump", "fence_mpath", "fence_sanbox2",
        "fence_sbd", "fence_scsi",
    }
)  # fmt: skip
_IPMI: Final = "auth cipher ipmitool_timeout lanplus port_as_ip privlvl sudo target use_sudo"

#: The agents with their own options.
AGENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "fence_aliyun": ("ram_role region",),
    "fence_alom": (_NET, _SSH, "port_as_ip"),
    "fence_amt": ("boot_option ip ipaddr ipport port_as_ip sudo use_sudo",),
    "fence_apc": (_NET, _SSH, "switch"),
    "fence_apc_snmp": (_NET, _SNMP),
    "fence_aws": ("filter region",),
    "fence_azure_arm": (
        "cloud login msi network-fencing network_fencing resourceGroup subscriptionId tenantId username",
    ),
    "fence_bladecenter": (_NET, _SSH),
    "fence_cdu": (_NET, "switch"),
    "fence_cisco_ucs": (_NET, _SSL, "notls suborg"),
    "fence_cyberpower_ssh": (_NET, _SSH),
    "fence_docker": (_SSL, "api_version ip ipaddr ipport tlscacert tlscert tlskey"),
    "fence_drac": (_NET, "port_as_ip"),
    "fence_drac5": (_NET, _SSH, "drac_version"),
    "fence_eaton_snmp": (_NET, _SNMP),
    "fence_ecloud": (),
    "fence_emerson": (_NET, _SNMP),
    "fence_eps": (_NET, "hidden_page page"),
    "fence_gce": (
        "apitimeout baremetalsolution earlyexit errortimeout plugzonemap project proxyhost proxyport retries",
        "retrysleep serviceaccount warntimeout zone",
    ),
    "fence_hds_cb": (_NET, _SSH),
    "fence_hpblade": (_NET, _SSH),
    "fence_ibm_powervs": ("api-type api_type crn instance proxy region",),
    "fence_ibm_vpc": ("limit proxy region",),
    "fence_ibmblade": (_NET, _SNMP),
    "fence_ibmz": (
        _NET,
        "connect_retries connect_timeout load_on_activate operation_timeout read_retries read_timeout ssl_secure",
    ),
    "fence_idrac": (_NET, _IPMI),
    "fence_ilo": (_NET, _SSL, "notls port_as_ip ribcl ribcl_version tls1.0"),
    "fence_ilo2": (_NET, _SSL, "notls port_as_ip ribcl ribcl_version tls1.0"),
    "fence_ilo3": (_NET, _IPMI),
    "fence_ilo3_ssh": (_NET, _SSH, "port_as_ip"),
    "fence_ilo4": (_NET, _IPMI),
    "fence_ilo4_ssh": (_NET, _SSH, "port_as_ip"),
    "fence_ilo5": (_NET, _IPMI),
    "fence_ilo5_ssh": (_NET, _SSH, "port_as_ip"),
    "fence_ilo_moonshot": (_NET, _SSH),
    "fence_ilo_mp": (_NET, _SSH, "port_as_ip"),
    "fence_ilo_ssh": (_NET, _SSH, "port_as_ip"),
    "fence_imm": (_NET, _IPMI),
    "fence_intelmodular": (_NET, _SNMP),
    "fence_ipdu": (_NET, _SNMP),
    "fence_ipmilan": (_NET, _IPMI),
    "fence_ipmilanplus": (_NET, _IPMI),
    "fence_ironic": ("auth-url auth_url login tenant-name tenant_name username",),
    "fence_kubevirt": ("apiversion namespace ssl_insecure",),
    "fence_ldom": (_NET, _SSH),
    "fence_lindypdu": (_NET, _SNMP, "switch"),
    "fence_lpar": (_NET, _SSH, "hmc_version managed"),
    "fence_netio": (_NET,),
    "fence_openstack": (
        "apitimeout auth-url auth_url cacert cloud login project-domain-name project-name project_domain_name",
        "project_name ssl_insecure user-domain-name user_domain_name username uuid",
    ),
    "fence_ovh": ("email login username",),
    "fence_powerman": ("ip ipaddr ipport port_as_ip",),
    "fence_pve": (_NET, _SSL, "node_name pve_node pve_node_auto vmtype"),
    "fence_raritan": (_NET,),
    "fence_raritan_px3": (_NET, _SSH),
    "fence_rcd_serial": ("serial_port",),
    "fence_redfish": (_NET, _SSL, "port_as_ip redfish-uri redfish_uri systems-uri systems_uri"),
    "fence_rhevm": (_NET, _SSL, "api_version disable_http_filter notls"),
    "fence_rsa": (_NET, _SSH, "port_as_ip"),
    "fence_rsb": (_NET, _SSH, "port_as_ip"),
    "fence_skalar": (_NET, _SSL, "force graceful"),
    "fence_tripplite_snmp": (_NET, _SNMP),
    "fence_vbox": (_NET, _SSH, "host_os sudo use_sudo"),
    "fence_virsh": (_NET, _SSH, "sudo use_sudo"),
    "fence_vmware": (_NET, "identity_file inet4_only inet6_only port_as_ip secure ssh vmware_datacenter vmware_type"),
    "fence_vmware_rest": (_NET, _SSL, "filter notls"),
    "fence_vmware_soap": (_NET, _SSL, "notls"),
    "fence_vmware_vcloud": (_NET, _SSL, "notls"),
    "fence_wti": (_NET, _SSH),
    "fence_xenapi": ("login session_url username",),
    "fence_zvmip": (_NET, _SSL, "disable_ssl inet4_only inet6_only"),
}


def options_of(agent: str) -> frozenset[str] | None:
    """The plain options of an agent; None for one that is not of Debian's."""
    own = AGENTS.get(agent)
    return None if own is None else frozenset(" ".join((EVERY, *own)).split())
