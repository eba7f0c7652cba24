# A NixOS guest: the agent, `slicer-secrets.target`, and for each service that names its secrets what makes
# systemd give it them, and refuse to start it without. The agent's units are those of `slicer-agent install`.
{ config, lib, ... }:
let
  inherit (lib) concatMap filterAttrs mapAttrs mapAttrsToList mkIf mkMerge mkOption types;
  cfg = config.services.slicer-agent;

  # systemd finds what came at boot under its name alone, and does not mind where there is none. Of what came
  # live AssertCredential= knows nothing.
  isLive = { deliver, ... }: deliver == "live";
  nameOf = id: { name, ... }: if name == null then id else name;
  liveFile = id: secret: "/run/credstore/${nameOf id secret}";
  # systemd.unit(5): a percent sign begins a specifier.
  escape = builtins.replaceStrings [ "%" ] [ "%%" ];

  wantsSecrets = secrets:
    let
      live = filterAttrs (_: isLive) secrets;
      boot = filterAttrs (_: secret: ! isLive secret) secrets;
    in
    mkMerge [
      {
        serviceConfig.LoadCredential =
          mapAttrsToList (id: secret: escape "${id}:${nameOf id secret}") boot ++ mapAttrsToList (id: secret: escape "${id}:${liveFile id secret}") live;
      }
      (mkIf (boot != { }) { unitConfig.AssertCredential = mapAttrsToList (id: secret: escape (nameOf id secret)) boot; })
      (mkIf (live != { }) {
        wants = [ "slicer-secrets.target" ];
        after = [ "slicer-secrets.target" ];
        unitConfig.AssertPathExists = mapAttrsToList (id: secret: escape (liveFile id secret)) live;
      })
    ];

  loadsVsock = "modprobe@vmw_vsock_virtio_transport.service";
  commandsSocket = "/run/slicer-commands.sock";

  # Of the agent alone: what it has started for the host is not in it.
  sandbox = {
    NoNewPrivileges = true;
    CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_NET_BIND_SERVICE CAP_SYS_ADMIN";
    ProtectSystem = "strict";
    ReadWritePaths = "/run";
    ProtectHome = true;
    ProtectProc = "invisible";
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    DevicePolicy = "closed";
    DeviceAllow = "/dev/vsock rw";
    RestrictAddressFamilies = "AF_UNIX AF_VSOCK";
    IPAddressDeny = "any";
    RestrictNamespaces = true;
    RestrictRealtime = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    SystemCallArchitectures = "native";
    SystemCallFilter = [ "@system-service" "~@swap @reboot @module @mount @clock @cpu-emulation @debug @obsolete @raw-io" ];
    SystemCallErrorNumber = "EPERM";
  };

  early = {
    unitConfig.DefaultDependencies = false;
    conflicts = [ "shutdown.target" ];
  };
in
{
  options.services.slicer-agent = {
    enable = lib.mkEnableOption "the agent, which keeps the secrets that the host grants this VM";
    program = mkOption {
      type = types.str;
      example = "\${./slicer-agent-x86_64}";
      description = "Where the agent is: one static binary.";
    };
    firmwareModules = mkOption {
      type = types.listOf types.str;
      default = [ "dmi_sysfs" "qemu_fw_cfg" ];
      description = "Kernel modules that show what came at boot: OEM strings, and fw_cfg for QEMU's microvm.";
    };
    credentials = mkOption {
      type = types.attrsOf (types.attrsOf (types.submodule {
        options = {
          name = mkOption {
            type = types.nullOr types.str;
            default = null;
            description = "The credential as the host sends it; null: as it is called here.";
          };
          deliver = mkOption {
            type = types.enum [ "boot" "live" ];
            default = "boot";
            description = "Whether it comes with the firmware or, where the VMM has no boot channel or the host says so, from the agent.";
          };
        };
      }));
      default = { };
      example = { my-app.db-pass.name = "DB_PASSWORD"; };
      description = "By service, what it finds in $CREDENTIALS_DIRECTORY.";
    };
  };

  config = mkMerge [
    {
      assertions = [ {
        assertion = cfg.enable || ! lib.any isLive (concatMap lib.attrValues (lib.attrValues cfg.credentials));
        message = "services.slicer-agent.credentials has some with deliver = \"live\", which the agent brings: services.slicer-agent.enable";
      } ];
      systemd.services = mapAttrs (_: wantsSecrets) cfg.credentials;
      boot.initrd.availableKernelModules = mkIf (cfg.enable || cfg.credentials != { }) cfg.firmwareModules;
    }
    (mkIf cfg.enable {
      systemd.sockets.slicer-agent = mkMerge [ early {
        description = "Port of the Slicer agent, held also while the agent restarts";
        before = [ "sockets.target" "shutdown.target" ];
        listenStreams = [ "vsock::900" ];
        wantedBy = [ "sockets.target" ];
      } ];

      systemd.sockets.slicer-commands = mkMerge [ early {
        description = "Where the Slicer agent has programs started";
        before = [ "sockets.target" "shutdown.target" ];
        listenStreams = [ commandsSocket ];
        socketConfig.SocketMode = "0600";
        wantedBy = [ "sockets.target" ];
      } ];

      systemd.services.slicer-commands = mkMerge [ early {
        description = "Starts what the host runs in this VM, userdata too";
        requires = [ "slicer-commands.socket" ];
        after = [ "slicer-commands.socket" ];
        before = [ "shutdown.target" ];
        unitConfig.StartLimitIntervalSec = 0;
        serviceConfig = {
          ExecStart = "${cfg.program} commands";
          KillMode = "process";
          OOMPolicy = "continue";
          TasksMax = "infinity";
        };
      } ];

      systemd.services.slicer-agent = mkMerge [ early {
        description = "Slicer agent, which keeps the secrets that the host grants this VM";
        wants = [ "slicer-agent.socket" "slicer-commands.socket" loadsVsock ];
        after = [ "slicer-agent.socket" "slicer-commands.socket" loadsVsock ];
        before = [ "slicer-secrets.target" "shutdown.target" ];
        wantedBy = [ "multi-user.target" ];
        unitConfig.StartLimitIntervalSec = 0;
        serviceConfig = {
          Type = "notify";
          TimeoutStartSec = "infinity";
          ExecStart = "${cfg.program} run --hold-userdata --commands ${commandsSocket}";
          StandardOutput = "journal+console";
          Restart = "always";
          RestartMode = "direct";
          RestartSec = "500ms";
          OOMPolicy = "continue";
          LimitCORE = 0;
          KillMode = "process";
        } // sandbox;
      } ];

      systemd.targets.slicer-secrets = {
        description = "Secrets of this VM are in place";
        requires = [ "slicer-agent.service" ];
        after = [ "slicer-agent.service" ];
      };

      systemd.services.slicer-userdata = {
        description = "Userdata of this VM, which the agent runs once";
        wants = [ "slicer-agent.service" ];
        after = [ "slicer-agent.service" "network.target" "network-online.target" ];
        wantedBy = [ "multi-user.target" ];
        unitConfig.StartLimitIntervalSec = 0;
        serviceConfig = {
          ExecStart = "${cfg.program} userdata";
          Restart = "on-failure";
          RestartSec = "1s";
          KillMode = "process";
        };
      };
    })
  ];
}
